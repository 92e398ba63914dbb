"""`minidl reproduce`: what arXiv:1510.04609 claims, tried with Caffe's recipes of its time and with fair controls."""
