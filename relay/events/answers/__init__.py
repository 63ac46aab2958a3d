"""Mail that answers Relay's: replies of people, and automatic ones."""
