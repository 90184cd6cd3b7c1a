#!/bin/sh
#FF resources.nodes: 2
#FF run.env.A: b c
#FF retry.on: watchdog
#FF -a 0-3 -H
run
