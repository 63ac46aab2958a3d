"""What `azd` runs after provisioning and after deployment."""
