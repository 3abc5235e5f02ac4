"""What an encoder of images is worth, where a label is a class or several findings of an image or a case.

And what is asked of images alone: holes to fill, what gives a place away, the shift between colours.
"""
