"""What the commands of `pysframe` do, without a screen.

A whole encrypted voice call in one process (`pysframe call`):

parties        a publisher, an agent, subscribers with the right key, the wrong one and none
network        what forwards their packets without a key;  rtp  the packets, and their jitter
digits         telephone tones, made and heard;  opus  the codec, and files
listening      what a party hears, and an eavesdropper
stage          all of them together, tick by tick
expectations   what must have been heard, and by whom;  report  the same for people and machines

contest        ways to protect frames, timed in turns (`pysframe bench`)
anatomy        a header bit by bit, also where it makes no sense (`pysframe inspect`)
optional       libraries that may be missing
"""
