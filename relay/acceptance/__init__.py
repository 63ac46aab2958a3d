"""Use case 1: accept messages. Check the policy, then store them durably."""
