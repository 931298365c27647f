#!/bin/sh
# The account with which Bulkhead logs in: what the shop's staff may do, and not more. Run once by the image.
set -eu
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 --set "password=$SHOP_PASSWORD" <<'SQL'
create role bulkhead login password :'password';
grant select, insert, update, delete on all tables in schema public to bulkhead;
grant usage on all sequences in schema public to bulkhead;
SQL
