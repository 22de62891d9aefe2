"""What a deployment with `compose.yaml` needs besides images: secrets, certificates, roles, and checks of them."""
