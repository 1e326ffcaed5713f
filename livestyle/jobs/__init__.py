"""The work of the commands, as a library: picklable job descriptions, and functions that run them.

    from pathlib import Path
    from livestyle import Stylizer
    from livestyle.jobs.video import VideoJob, run_video

    job = VideoJob(Path("in.mp4"), Path("out.mp4"), style="wave", strength=0.8)
    with Stylizer("wave") as stylizer:  # the device and the networks; one Stylizer runs many jobs
        result = run_video(job, stylizer)

Nothing here prints, asks questions or reads command lines.
"""
