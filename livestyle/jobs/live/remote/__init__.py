"""Remote control of a live run by OSC messages and by a MIDI controller."""
