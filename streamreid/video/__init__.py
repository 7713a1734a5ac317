"""Frame sources: cameras, files and folders of images through PyAV."""
