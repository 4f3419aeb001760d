"""Recordings of sealed media, opened: Janus's mjr, and RTP in pcap and pcapng.

    Recording      a file
    Restorer       recordings and keys -> frames, and what became of everything else
    matroska       frames -> a file that players read (needs the extra pysframe[decrypt])

Files are handed in open, and nothing here opens one.
"""

from ._source import RecordingError
from .codecs import CODECS
from .opening import Flow, Key
from .restoring import Recording, Restored, Restorer, Track

__all__ = ["CODECS", "Flow", "Key", "Recording", "RecordingError", "Restored", "Restorer", "Track"]
