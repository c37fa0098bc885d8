"""What a JupyterHub needs to offer the images: its launcher's profile list, in a ConfigMap that Helm reads."""
