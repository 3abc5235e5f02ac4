"""What an encoder of images is worth, for classes or findings, of images or of cases of several; and tools of single questions:
filling holes, shortcuts of a pretext task, the shift between colours.
"""
