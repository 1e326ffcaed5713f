"""What the commands do, as a library: picklable descriptions of the work, and functions that carry it out.

    from livestyle import Stylizer
    from livestyle.jobs.video import VideoJob, run_video

    job = VideoJob(Path("in.mp4"), Path("out.mp4"), style="wave", strength=0.8)
    with Stylizer("wave") as stylizer:  # the device and the networks; one Stylizer runs many jobs
        result = run_video(job, stylizer)

Nothing here prints, asks questions or reads command lines.
"""
