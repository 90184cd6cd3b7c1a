#!/bin/bash
#FF --nodes 4 -p low --gpus-per-node=8   # whole ones
#FF -J my-job -R4 -e A=1 --exclude n1,n2 -d after-any:3
#FF time.limit: 2h
echo
