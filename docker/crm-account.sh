#!/bin/sh
# The account with which Bulkhead logs in: what the CRM's users may do, and not more. Run once by the image.
set -eu
password=$(printf %s "$CRM_PASSWORD" | sed "s/[\\\\']/\\\\&/g")
MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb --user=root <<SQL
create user bulkhead@'%' identified by '$password';
grant select, insert, update, delete on crm.* to bulkhead@'%';
SQL
