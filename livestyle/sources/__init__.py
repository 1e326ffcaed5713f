"""Sources, which frames are read from: video files, cameras and the demo scene."""
