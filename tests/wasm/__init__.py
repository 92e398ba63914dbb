"""minidl under WebAssembly beside minidl here: `python -m tests.wasm`."""
