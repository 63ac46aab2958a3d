"""Scripts that `azd` runs after provisioning and after deployment."""
