/** The database that the evasion cases are tried on: what is granted, and what must stay out of reach. */

export const SCHEMA = `
create table customers (id serial primary key, name text not null, email text, city text, ssn text);
create table orders (id serial primary key, customer_id int references customers (id), total numeric(10,2),
  status text, note text, placed_at timestamptz default now());
create table order_items (order_id int references orders (id), line int, product text, qty int,
  primary key (order_id, line));
create table tickets (id serial primary key, title text, status text, assignee text);
create table secret (id int primary key, v text);
create table "Secret" (id int, v text);
create table "orders; drop table secret" (id int);
create table scratch (id int, city text, name text);
create table parent (id int, v text);
create table child () inherits (parent);
create table ${'a'.repeat(63)} (id int);
create view secret_view as select * from secret;
create view order_totals as select o.id, o.total from orders o;
create materialized view secret_matview as select * from secret;
create sequence ticket_no;
create sequence secret_no;
create type mood as enum ('sad', 'ok');
create type pair as (a int, b text);
create type size as enum ('s', 'm');
create table round (id int, note text);
create table key (id int, note text);
create table shelves (id int, holds size, held size[]);
create function leak() returns text language sql security definer as 'select v from secret limit 1';
create function check_value(int) returns boolean language sql security definer as
  'select exists (select from secret) and $1 > 0';
create domain checked as int check (check_value(value));
create domain scale as int check (check_value(value));
create function ssn_of(customers) returns text language sql as 'select $1.ssn';
create function price_of(size) returns money language sql security definer as 'select count(*)::numeric::money from secret';
create function size_of(uuid) returns size language sql security definer as
  'select case when exists (select from secret) then ''m''::size end';
create cast (size as money) with function price_of(size) as implicit;
create cast (uuid as size) with function size_of(uuid) as assignment;
create function next_ticket_no() returns bigint language sql as $$ select nextval('ticket_no') $$;
create function lower(varchar) returns text language sql security definer as 'select v from secret limit 1';
create function plus_secret(int, int) returns int language sql security definer as
  'select $1 + $2 + (select count(*)::int from secret)';
create operator +# (leftarg = int, rightarg = int, function = plus_secret);
create function longest(text, text) returns text language sql immutable as
  'select case when length($1) > length($2) then $1 else $2 end';
create aggregate longest_of (text) (sfunc = longest, stype = text);
create function stamp() returns trigger language plpgsql as 'begin return new; end';
create procedure erase() language sql security definer as 'delete from secret';
create foreign data wrapper elsewhere options (key 'sw0rdfish');
create server far_away foreign data wrapper elsewhere options (host '10.0.0.9', dbname 'payroll');
alter table customers add column tier text default 'sw0rdfish';
create schema hr;
create table hr.salaries (id int, amount int);
create table hr.orders (id int, secret text);
create domain hr.text as pg_catalog.text check (check_value(1));
create function hr.bonus() returns int language sql security definer as 'select amount from hr.salaries limit 1';
insert into customers (name, email, city, ssn) values ('ann', 'a@x', 'rome', '111'), ('bob', 'b@x', 'oslo', '222');
insert into orders (customer_id, total, status) values (1, 10, 'open'), (2, 20, 'paid');
insert into order_items values (1, 1, 'pen', 2), (2, 1, 'ink', 1);
insert into tickets (title, status) values ('broken', 'open');
insert into scratch values (1, 'rome', 'ann');
insert into shelves values (1, 's', '{s}');
insert into secret values (1, 'sw0rdfish');
insert into "Secret" values (1, 'sw0rdfish');
insert into hr.salaries values (1, 1000);
insert into hr.orders values (1, 'sw0rdfish');
insert into parent values (1, 'sw0rdfish');
`

/** The grant of an ordinary run. */
export const ALLOW: readonly string[] = [
  'select on orders, order_items, order_totals',
  'select (id, city) on customers',
  'select, insert, update (status) on tickets',
  'execute on function next_ticket_no',
  'usage on sequence ticket_no',
  'listen, notify on channel jobs',
  'select, insert, create, alter, drop on scratch',
  'alter, index, trigger on customers',
  'select, insert on shelves',
  'execute on function stamp',
]

/** What no case may change or show: rows of what is not granted. */
export const UNTOUCHED = `
  select md5(string_agg(t::text, '|')) from (
    select 'secret', id::text, v from secret union all select 'Secret', id::text, v from "Secret"
    union all select 'salaries', id::text, amount::text from hr.salaries
    union all select 'customers', id::text, name || coalesce(ssn, '') from customers
    union all select 'orders', id::text, total::text || status from orders
    union all select 'tickets', id::text, title from tickets
    union all select 'relations', oid::text, relname from pg_class where oid >= 16384 and relkind in ('r', 'v', 'm', 'S')
    union all select 'roles', rolname, '' from pg_roles order by 1, 2, 3) t`

/** A text that only what is not granted holds: it must never reach a client. */
export const SECRET_TEXT = 'sw0rdfish'
