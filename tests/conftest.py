"""What all tests stand on."""

import signal
import threading

# A shell that starts the tests in the background has Ctrl-C ignored, and every child would inherit that: studies and
# servers that tests interrupt would go on for ever.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)
