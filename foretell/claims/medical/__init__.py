"""Claims on many images of one thing: MICLe on cases, segmentation of volumes, and where their images come from."""
