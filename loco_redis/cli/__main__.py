"""`python -m loco_redis.cli`, for where the `loco-redis` script is not on PATH."""

from loco_redis.cli import main

main(prog_name="loco-redis")
