/** The frame worker with a clock at both ends: the tap's listener must be the first. */

import "./tap.js";
import "../frame-worker.js";
