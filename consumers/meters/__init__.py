"""What Prometheus is told of groups, their lag, the account of images and the devices."""
