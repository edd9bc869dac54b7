"""What is built on top of slots: serving a backlog, pools, plans, routing, agent loops."""
