"""`minidl reproduce`: the claims of arXiv:1510.04609, with controls for what a larger rate alone would do."""
