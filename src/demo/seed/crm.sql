-- The CRM: accounts, people and deals, and the keys to other services that no agent may see.
-- MySQL 8 or MariaDB 10.6 or newer, into an empty database.

create table accounts (
  id int primary key,
  name varchar(80) not null,
  stage varchar(20) not null,
  city varchar(40) not null
);

create table contacts (
  id int primary key,
  account_id int not null,
  name varchar(80) not null,
  role varchar(40) not null,
  email varchar(120) not null,
  phone varchar(30) not null,
  foreign key (account_id) references accounts (id)
);

create table notes (
  id int auto_increment primary key,
  account_id int not null,
  written_on date not null,
  body varchar(500) not null,
  foreign key (account_id) references accounts (id)
);

create table deals (
  id int primary key,
  account_id int not null,
  title varchar(80) not null,
  stage varchar(20) not null,
  amount decimal(10, 2) not null,
  foreign key (account_id) references accounts (id)
);

create table api_keys (
  id int primary key,
  service varchar(40) not null,
  secret varchar(80) not null,
  created_on date not null
);

insert into accounts (id, name, stage, city) values
  (1, 'Northwind Interiors', 'customer', 'Porto'),
  (2, 'Kade Kantoor', 'customer', 'Ghent'),
  (3, 'Studio Lume', 'prospect', 'Turin'),
  (4, 'Adria Hotels', 'customer', 'Split'),
  (5, 'Brno Coworking', 'prospect', 'Brno'),
  (6, 'Aarhus Skole', 'customer', 'Aarhus');

insert into contacts (id, account_id, name, role, email, phone) values
  (1, 1, 'Beatriz Rocha', 'buyer', 'beatriz.rocha@example.org', '+351 21 555 1037'),
  (2, 2, 'Lotte Maes', 'office manager', 'lotte.maes@example.org', '+351 21 555 1074'),
  (3, 3, 'Paolo Ferri', 'owner', 'paolo.ferri@example.org', '+351 21 555 1111'),
  (4, 4, 'Ivana Kos', 'procurement', 'ivana.kos@example.org', '+351 21 555 1148'),
  (5, 5, 'Radek Dvorak', 'founder', 'radek.dvorak@example.org', '+351 21 555 1185'),
  (6, 6, 'Mette Juhl', 'head of school', 'mette.juhl@example.org', '+351 21 555 1222'),
  (7, 1, 'Tiago Pires', 'finance', 'tiago.pires@example.org', '+351 21 555 1259'),
  (8, 2, 'Bram Wouters', 'facility', 'bram.wouters@example.org', '+351 21 555 1296');

insert into notes (id, account_id, written_on, body) values
  (1, 1, '2026-10-02', 'Asked for a quote on 40 desks.'),
  (2, 2, '2026-10-05', 'Happy with the chairs, wants lamps.'),
  (3, 3, '2026-10-11', 'Met at the fair in Milan; send catalogue.'),
  (4, 4, '2026-10-19', 'Complained about late delivery.'),
  (5, 1, '2026-11-03', 'Quote accepted, delivery in December.'),
  (6, 6, '2026-11-09', 'Budget approved for 2027.');

insert into deals (id, account_id, title, stage, amount) values
  (1, 1, '40 desks', 'won', 13160.0),
  (2, 2, '60 lamps', 'open', 2994.0),
  (3, 3, 'Showroom fit-out', 'open', 21800.0),
  (4, 4, 'Lobby seating', 'lost', 9700.0),
  (5, 6, 'Classroom storage', 'open', 17850.0);

insert into api_keys (id, service, secret, created_on) values
  (1, 'newsletter', 'nl_live_3f9d1c0e72', '2026-03-01'),
  (2, 'invoicing', 'inv_live_b1770a95d4', '2026-05-17');
