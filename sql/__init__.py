"""DDL and long queries, one file each; read by app.stores.sql."""
