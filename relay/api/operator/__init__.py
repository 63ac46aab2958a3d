"""Operations for operators: clients, routes, dead letters, overview, doctor."""
