"""The bootstrap as an Ansible playbook, to be timed beside ours."""
