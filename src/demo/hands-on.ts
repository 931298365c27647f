/** The lines to paste into another terminal while the demo stays up. */
import { delimiter, join } from 'node:path'
import type { Config } from '../config/config.ts'
import type { Door } from './agents.ts'
import type { Backends, Ports, SystemName } from './configuration.ts'
import { isProgram } from './servers/programs.ts'
import { print, printCommand, printHeading } from './terminal.ts'

export function printHandsOn(demo: {
  readonly doors: Readonly<Record<SystemName, Door>>
  readonly backends: Backends
  /** Folder of `psql`. */
  readonly psql: string | undefined
  readonly ports: Ports
  readonly config: Config
  readonly certificate: string
}): void {
  const { doors, backends, psql, ports, config, certificate } = demo
  const { shop, crm, carts } = doors
  printHeading('try it', 'in another terminal, while this one stays open')
  printCommand(
    'PostgreSQL: try select * from orders, then select * from employees_salaries',
    `PGPASSWORD='${shop.token}' ${program(psql, 'psql')} 'host=127.0.0.1 port=${shop.port} user=${shop.run} dbname=${shop.database}'`,
  )
  printCommand(
    'MySQL: try select * from accounts, then select * from api_keys',
    `MYSQL_PWD='${crm.token}' ${program(backends.crm.server.programs, 'mariadb', 'mysql')} --host=127.0.0.1 --port=${crm.port} --user=${crm.run} --ssl-ca=${certificate} ${crm.database}`,
  )
  printCommand(
    'Redis: try hgetall cart:7, then get session:admin',
    `REDISCLI_AUTH='${carts.token}' ${program(backends.carts.server.programs, 'redis-cli', 'valkey-cli')} -p ${carts.port} --user ${carts.run}`,
  )
  printCommand(
    'hops, counted by system and kind',
    `curl -s http://127.0.0.1:${ports.admin}/metrics | grep '^bulkhead_hop_attempts_total.* [1-9]'`,
  )
  printCommand('hops, as recorded', `grep '"event":"hop"' ${config.auditFile} | tail -n 3`)
  print(`\nThe configuration is ${config.file}. Ctrl-C ends everything and removes it.`)
}

/** The bare name where the shell finds it, else the path of the one that was fetched, else the name after all. */
function program(folder: string | undefined, ...names: readonly string[]): string {
  const onPath = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean)
  const bare = names.find((name) => onPath.some((place) => isProgram(join(place, name))))
  if (bare !== undefined) return bare
  const fetched = folder === undefined ? undefined : names.map((name) => join(folder, name)).find(isProgram)
  return fetched ?? names[0] ?? ''
}
