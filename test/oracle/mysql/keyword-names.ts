/**
 * Statements in which a word of the grammar stands as a name: of a table, a column, an alias, a window. Few words are reserved, and a
 * parser that takes one of the others for a keyword (`SELECT MAX(x) FROM first, t`) does not see what is named. Long because
 * it is a table of data.
 */
import { randomOf } from './generate.ts'

/** Columns of one table; a server takes a little more than a thousand. */
const COLUMNS_MAX = 300

/** A table for each word, with the columns `a` and `k`; tables with a column for each; and one that every statement may name. */
export function keywordSchema(words: readonly string[]): readonly string[] {
  const schema = ['create table o (x int, y int, z varchar(20))']
  for (const word of words) schema.push(`create table \`${word}\` (a int, k int)`)
  for (let at = 0; at < words.length; at += COLUMNS_MAX) {
    const columns = words.slice(at, at + COLUMNS_MAX).map((word) => `\`${word}\` int`)
    schema.push(`create table ${columnsTable(at)} (${columns.join(', ')}, cx int)`)
  }
  return schema
}

function columnsTable(at: number): string {
  return `c${Math.floor(at / COLUMNS_MAX)}`
}

/** @param database where the schema was made @param seed the same gives the same statements */
export function* keywordStatements(
  words: readonly string[],
  { database, seed }: { readonly database: string; readonly seed: number },
): Generator<string, never> {
  const random = randomOf(seed)
  const below = (count: number): number => Math.floor(random() * count)
  for (;;) {
    const at = below(words.length)
    const names = { W: words[at], C: columnsTable(at), DB: database } as const
    const template = TEMPLATES[below(TEMPLATES.length)] ?? ''
    yield template.replace(/\b(?:W|C|DB)\b/g, (name) => names[name as keyof typeof names] ?? '')
  }
}

/** `W`: the word, a table with the columns `a` and `k`; `C`: a table with a column of that name and `cx`; `o`: the one with `x`, `y`, `z`. */
const QUERIES = `
  select a from W
  select a from W, o
  select x from o, W
  select o.x from o join W
  select o.x from o join W on 1
  select count(*) from W, o
  select max(x) from W, o
  select max(a) from W
  select nth_value(x,1) from W, o
  select nth_value(a, 1) over (order by a) from W
  select x W from o
  select x as W from o, W
  select W from C
  select W, x from C, o
  select x, W from C, o
  select W.a from W
  select W.a, o.x from W, o
  select o.x from o W
  select x from o W
  select W.x from o W
  select W.x from o as W, C
  select cx from C order by W
  select W from C order by W, W desc
  select cx from C order by W(cx)
  select W + 1 from C
  select -W from C
  select 1+W from C
  select W 'al' from C
  select W al from C
  select 'x' W from o
  select 1 W from o
  select x, 'W' W from o order by W
  select a from W where a in (select W from C)
  select exists(select * from W)
  select x from o where exists (select * from W)
  select (select a from W limit 1)
  select x from o where x = any (select W from C)
  select x from o where x = all (select a from W)
  with W as (select x from o) select * from W
  with W as (select 1) select a from W, o
  with W (a) as (select x from o) select a from W
  with t as (select a from W) select * from t
  with recursive W as (select 1 n union all select n+1 from W where n < 3) select * from W
  select * from (select 1 a) W
  select * from (select 1 a) W, o
  select * from (select a from W) t
  select W.* from W
  select W.*, o.* from W, o
  select * from W, o
  select W from C group by W
  select W from C group by W with rollup
  select count(*) from C group by W having W
  select W, count(*) from C group by W having count(*) > 0
  select cx from C having W
  select sum(x) over (partition by W) from C, o
  select sum(cx) over W from C window W as (order by cx)
  select sum(x) over W from o window W as (order by x), w2 as (W)
  select sum(cx) over (order by W) from C
  select sum(cx) over (order by cx rows W preceding) from C
  select sum(cx) over (order by cx range between unbounded preceding and W following) from C
  select case W when 1 then 2 end from C
  select case when W then W else cx end from C
  select x from o left join W on x = a
  select x from o right join W on x = a
  select x from o join W t using (a)
  select x from o natural join W
  select x from o natural left join W
  select x from o straight_join W
  select x from W straight_join o
  select x from W cross join o
  select x from (o, W)
  select x from (o cross join W)
  select x from (W) join o
  select x from W inner join o
  select x from ((W)), o
  select x from o use index (W)
  select x from o force index for join (W), C
  select x from o ignore index (W), W
  select x from o partition (W)
  select a from W for update
  select a from W lock in share mode
  select x from o for update of W
  select a from W limit 1
  select a from W union select x from o
  select W from C union select a from W
  select W from C union all select a from W order by 1
  (select a from W) union (select x from o) order by a
  (select a from W) order by W.a
  ((select a from W) order by a limit 1)
  (select W from C) order by W
  select x from ((select a x from W) order by x limit 1) t
  select ((select W from C limit 1) order by 1)
  table W
  table W limit 1
  table W union select 1,2,3
  values row(1,(select max(a) from W))
  values ((select max(a) from W))
  select distinct W from C
  select all W from C
  select high_priority W from C
  select straight_join W from C
  select sql_no_cache W from C
  select sql_cache W from C
  select sql_calc_found_rows W from C
  select sql_small_result W from C
  select distinctrow W, cx from C
  select @x := W from C
  select @x := max(a) from W
  select a from DB.W
  select DB.W.a from W
  select DB.W.a from DB.W
  select .W.a from W
  select a from .W
  select W.a a from W
  select W as W from C as W
  select W.W from C W
  select x + interval W day from C, o
  select interval W day + x from C, o
  select date_add(x, interval W day) from C, o
  select extract(W from z) from o
  select extract(year from W) from C
  select W is null from C
  select not W from C
  select W between W and W from C
  select x from o, C where x between W and cx
  select W like W from C
  select W like W escape 'a' from C
  select W regexp W from C
  select W in (W, 1) from C
  select W collate utf8mb4_bin from C
  select z collate W from o
  select binary W from C
  select cast(W as char) from C
  select cast(cx as W) from C
  select convert(W using utf8mb4) from C
  select convert(W, char) from C
  select convert(z using W) from o
  select count(distinct W) from C
  select count(distinct W, cx) from C
  select group_concat(W order by W separator ',') from C
  select group_concat(cx order by W desc) from C
  select group_concat(distinct W) from C
  select count(W) from C
  select count(W.a) from W
  select date W from C
  select time W from C
  select timestamp W from C
  select date(W) from C
  select W(1)
  select W()
  select W (1)
  select W(x) from o
  select W(x, y) from o
  select W(x, (select max(a) from W)) from o
  select DB.W(1)
  select W div 2 from C
  select W mod 2 from C
  select 2 mod W from C
  select W xor 1 from C
  select W && 1 from C
  select W or W from C
  select if(W, W, cx) from C
  select ifnull(W, 1) from C
  select coalesce(W, cx) from C
  select trim(W from z) from o
  select trim(both W from z) from C, o
  select trim(leading from W) from C
  select substring(W from 1 for 2) from C
  select substring(z from W) from C, o
  select position(W in z) from C, o
  select position('a' in W) from C
  select char(W using latin1) from C
  select char(x using W) from o
  select greatest(W, 1) from C
  select get_format(W, 'eur')
  select get_format(date, W) from C
  select timestampdiff(W, z, z) from o
  select timestampdiff(day, W, z) from C, o
  select timestampadd(W, 1, z) from o
  select weight_string(W) from C
  select weight_string(z as char(1)) from o, W
  select match (W) against ('a') from C
  select match (z) against (W) from C, o
  select json_value(W, '$') from C
  select json_arrayagg(W) from C
  select json_arrayagg(W order by cx limit 1) from C
  select json_objectagg(W, cx) from C
  select default(W) from C
  select values(W) from C
  select value(W) from C
  select row(W, 1) = (1,1) from C
  select (W, 1) = (select a, 1 from W) from C
  select * from json_table('[1]', '$[*]' columns (W int path '$')) jt
  select * from json_table('[1]', '$[*]' columns (x int path '$')) W
  select * from json_table('[1]', '$[*]' columns (x int path '$')) jt, W
  select * from W, json_table(W.a, '$[*]' columns (x int path '$')) jt
  select * from o, lateral (select a from W) t
  select * from W for system_time all
  select a from W for system_time as of now()
  select a from W partition (p0)
  select a from W tablesample system (10)
  select a from W t1, W t2
  select a from W as t1 (a)
  select * from (select 1, 2) W (a, b)
  select * from (values (1,2)) W
  select * from (values row(1,2)) W (a, b), o
  select x from o where (x, y) in (select a, k from W)
  select x from o where x in (table W)
  select x from o limit 1 offset 1
  select x from o procedure W()
  select x from o into @W
  select a into @y from W
  select W into @y from C
  select a from W into @y
  select nextval(W)
  select next value for W
  select lastval(W)
  select previous value for W
  select setval(W, 1)
  select @@W
  select @@session.W
  select @W
  select x from o where x = W
  select x from o join (W join o o2) on 1
  select x from o join (select a from W) W on 1
  select {d W} from C
  select {W '2020-01-01'}
  select x from {oj o left join W on 1}
  select W.x.y from o
  select * from o where W.x = 1
  select _utf8 W from C
  select n W from C
  select x W, W.a from o, W
  select 1 from dual W
  select 1 from dual, W
  select a from W dual
  select if(1, (select a from W limit 1), 2)
  select a as x from W having x
  select a x from W order by x + W.k
  select x from o order by (select max(a) from W)
  select x from o group by (select max(a) from W)
  select x from o limit W
  select W.a from (W, o)
  select sum(W.a) from W group by W.k
  select a from W window x as (order by a)
  select first_value(a) over x from W window x as (partition by k)
  select lag(W, 1) over (order by cx) from C
  select lead(a) ignore nulls over (order by a) from W
  select nth_value(a, 2) from first over (order by a) from W
  select nth_value(a, 2) from last over (order by a), k from W
  select percentile_cont(0.5) within group (order by a) over (partition by k) from W
  select median(a) over (partition by k) from W
  select std(W) from C
  select bit_and(W) from C
  select st_astext(W) from C
  select x from o where x sounds like W
  select x from o, C where W member of ('[1]')
  select x->'$.a' from W, o
  select W->'$.a' from C
  select x from o where W is true
  select cx is not W from C
  select cx is W from C
  select x from o except select a from W
  select x from o intersect all select a from W
  select x from o minus select a from W
  select x from o fetch first 1 rows only
  select a from W fetch first row with ties
  select a from W order by a fetch next 1 rows only
  select a from W offset 1 rows
  select x from o where x not in (select W from C)
  select /*+ set_var(x=1) */ a from W
  select * from information_schema.tables, W
  (W)
  (select a from W) W
  select a from (W)
  select a from (W as t)
  select a from (W t, o)
`

/** As above. */
const WRITES = `
  update W set a = 1
  update W, o set a=1
  update o, W set x = 1
  update o join W on x=a set x = 1
  update C set W = 1
  update C set cx = W
  update o set x = (select W from C)
  update o set x = 1 where x = (select max(W) from C)
  update o W set x = 1
  update o as W, C set W.x = cx
  delete from W
  delete W from W
  delete W, o from W, o
  delete from W using W, o
  delete from o where x in (select W from C)
  delete from o using o join W
  delete o from o, W
  delete from W where a = 1
  delete from o W where x=1
  delete W from o W
  insert into W values (1,2,3)
  insert W values (1,2,3)
  insert W (a) values (1)
  insert into W (a) select x from o
  insert W set a=1
  insert into C (W) values(1)
  insert into C set W = 1
  insert into o (x) select W from C
  insert o (x) select a from W
  insert into o (x) values ((select max(W) from C))
  insert into o(x) values (1) on duplicate key update x = (select max(W) from C)
  insert into o (x) values (1) as W on duplicate key update x = W.x
  insert into o (x) table W
  insert into o (x) values row(1)
  replace W values(1,2,3)
  replace into W (a) select x from o
  set @x = (select max(W) from C)
  do (select max(W) from C)
  do W(1)
  do W
  update low_priority W set a = 1
  update ignore W set a = 1
  delete low_priority from W
  delete quick from W
  delete ignore from o where x = (select max(a) from W)
  insert delayed W values (1,2,3)
  insert high_priority into W values (1,2,3)
  insert ignore W values (1,2,3)
  insert into W () values ()
  insert into o (x) values (default(x)) returning (select max(a) from W)
  delete from o returning (select max(a) from W)
  replace delayed W values (1,2,3)
  insert into o (x) with t as (select a from W) select a from t
  update o set x = default, y = (select max(a) from W)
  update W t set t.a = 1 order by t.k limit 1
  delete from W order by k limit 1
  delete from o where x = 1 order by (select max(a) from W) limit 1
  set statement max_statement_time=1 for select a from W
`

/** As above. */
const EXPLAINED = `
  explain W
  describe W
  desc W
  explain select a from W
  describe W a
  explain W a
  desc C W
  explain C W
  explain extended W
  explain partitions W
  explain analyze W
  explain format W
  analyze select a from W
`

const TEMPLATES = [QUERIES, WRITES, EXPLAINED]
  .flatMap((lines) => lines.split('\n'))
  .map((line) => line.trim())
  .filter((line) => line !== '')
