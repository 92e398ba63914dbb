"""What one types by habit, from PyTorch or NumPy, where minidl has another name: answered with the line to write."""
