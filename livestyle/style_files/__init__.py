"""Style files: file format, gallery, management, blends, thumbnails."""
