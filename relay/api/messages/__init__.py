"""Operations on messages: send, read, list, wait, cancel, reschedule."""
