/** The database that the evasion cases are tried on: what is granted, and what must stay out of reach. */
import type { MysqlCatalog, MysqlFlavour, MysqlRelation } from '../../../protocols/mysql/catalog.ts'

/** Statements that make it, for a real server. `SCHEMA_MARIADB` on MariaDB only. */
export const SCHEMA: readonly string[] = [
  'create table customers (id int primary key auto_increment, name varchar(40) not null, email varchar(40), city varchar(40), ssn varchar(20))',
  'create table orders (id int primary key auto_increment, customer_id int, total decimal(10,2), status varchar(20), note text)',
  'create table order_items (order_id int, line int, product varchar(40), qty int, primary key (order_id, line))',
  'create table tickets (id int primary key auto_increment, title varchar(40), status varchar(20), assignee varchar(40))',
  'create table secret (id int primary key, v varchar(40))',
  'create table Secret2 (id int, v varchar(40))',
  'create table `orders; drop table secret` (id int)',
  'create view secret_view as select * from secret',
  'create view order_totals as select id, total from orders',
  'create function leak() returns varchar(40) reads sql data return (select v from secret limit 1)',
  'create function `count`(a int) returns varchar(40) reads sql data return (select v from secret limit 1)',
  'create function next_no() returns int no sql return 7',
  'create procedure erase() delete from secret',
  "insert into customers (name, email, city, ssn) values ('ann', 'a@x', 'rome', '111'), ('bob', 'b@x', 'oslo', '222')",
  "insert into orders (customer_id, total, status) values (1, 10, 'open'), (2, 20, 'paid')",
  "insert into order_items values (1, 1, 'pen', 2), (2, 1, 'ink', 1)",
  "insert into tickets (title, status) values ('broken', 'open')",
  "insert into secret values (1, 'sw0rdfish')",
  "insert into Secret2 values (1, 'sw0rdfish')",
]

export const SCHEMA_MARIADB: readonly string[] = ['create sequence secret_no', 'create sequence ticket_no']

/** The grant of an ordinary run. */
export const ALLOW: readonly string[] = [
  'select on orders, order_items, order_totals',
  'select (id, city) on customers',
  'select, insert, update (status) on tickets',
  'execute on function next_no',
  'usage on sequence ticket_no',
]

/** A text that only what is not granted holds: it must never reach a client. */
export const SECRET_TEXT = 'sw0rdfish'

export const DATABASE = 'crm'

function relation(kind: MysqlRelation['kind'], columns: string): MysqlRelation {
  return { kind, columns: columns.split(' ') }
}

/** The same database as a catalog, for trying the cases without a server. */
export function catalogOf(flavour: MysqlFlavour, overrides: Partial<MysqlCatalog> = {}): MysqlCatalog {
  return {
    flavour,
    serverVersion: flavour === 'mysql' ? '9.7.4' : '10.11.19-MariaDB',
    versionNumber: flavour === 'mysql' ? 90_704 : 101_119,
    lowerCaseTableNames: 0,
    database: DATABASE,
    complete: true,
    relations: new Map([
      ['customers', relation('table', 'id name email city ssn')],
      ['orders', relation('table', 'id customer_id total status note')],
      ['order_items', relation('table', 'order_id line product qty')],
      ['tickets', relation('table', 'id title status assignee')],
      ['secret', relation('table', 'id v')],
      ['Secret2', relation('table', 'id v')],
      ['orders; drop table secret', relation('table', 'id')],
      ['secret_view', relation('view', 'id v')],
      ['order_totals', relation('view', 'id total')],
      ...(flavour === 'mariadb'
        ? ([
            ['secret_no', relation('sequence', 'next_not_cached_value minimum_value')],
            ['ticket_no', relation('sequence', 'next_not_cached_value minimum_value')],
          ] as const)
        : []),
    ]),
    functions: new Set(['leak', 'count', 'next_no']),
    procedures: new Set(['erase']),
    baseSqlMode: 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION',
    ...overrides,
  }
}
