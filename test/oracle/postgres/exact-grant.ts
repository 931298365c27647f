/**
 * The server as oracle. A role is given exactly the privileges that the analysis of a statement names, and then
 * runs it: if the server finds one missing, the analysis has missed it.
 *
 * It shows what was missed, not what was asked for needlessly: the corpus of innocent statements does that.
 */
import type { Client } from 'pg'
import type { Access } from '../../../protocols/access.ts'
import type { StatementAction } from '../../../protocols/analysis.ts'
import type { PostgresAnalyser } from '../../../protocols/postgres/analyser.ts'

/** SQLSTATE `insufficient_privilege`. */
const INSUFFICIENT_PRIVILEGE = '42501'

/** What can run inside a transaction that is rolled back, and needs no ownership. */
const COMPARED: ReadonlySet<StatementAction> = new Set([
  'select',
  'insert',
  'update',
  'delete',
  'merge',
  'copy',
  'explain',
  'lock',
  'truncate',
  'call',
])

export type Comparison =
  /** The statement is refused whatever the grant says. */
  | { readonly kind: 'refused'; readonly outcome: string; readonly why: string }
  /** Not a kind of statement that this oracle can judge. */
  | { readonly kind: 'not_compared' }
  /** It ran. */
  | { readonly kind: 'agrees' }
  /** The server refused it for another reason than a privilege. */
  | { readonly kind: 'server_error'; readonly code: string; readonly message: string }
  /** A privilege was missing on something that the statement does not name: in a function, default, policy, view. */
  | { readonly kind: 'hidden'; readonly message: string }
  /** A privilege was missing on something that it names. */
  | { readonly kind: 'miss'; readonly message: string; readonly accesses: readonly Access[] }

/** What reads a statement. */
type Reader = Pick<PostgresAnalyser, 'read'>

type ServerError = { readonly code?: string; readonly message: string; readonly where?: string }

export class ExactGrantOracle {
  readonly #client: Client
  readonly #analyser: Reader
  readonly #role: string

  private constructor(client: Client, analyser: Reader, role: string) {
    this.#client = client
    this.#analyser = analyser
    this.#role = role
  }

  /**
   * Prepares a database: takes from PUBLIC what it has by default, and makes the role.
   *
   * @param client a superuser's
   * @param role a name that no role has
   */
  static async prepare(client: Client, analyser: Reader, role: string): Promise<ExactGrantOracle> {
    await client.query(`CREATE ROLE ${role}`)
    await client.query(`DO $$ DECLARE r record; BEGIN
      FOR r IN SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO ${role}', r.nspname);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM PUBLIC', r.nspname);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM PUBLIC', r.nspname);
        EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA %I FROM PUBLIC', r.nspname);
      END LOOP;
      FOR r IN SELECT t.oid::regtype::text AS name, t.typtype FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE t.oid >= 16384 AND t.typtype = 'd' LOOP
        EXECUTE format('REVOKE ALL ON DOMAIN %s FROM PUBLIC', r.name);
      END LOOP;
    END $$`)
    return new ExactGrantOracle(client, analyser, role)
  }

  /** The same database and role with another reader. */
  readBy(analyser: Reader): ExactGrantOracle {
    return new ExactGrantOracle(this.#client, analyser, this.#role)
  }

  async compare(statement: string): Promise<Comparison> {
    const { analysis, forward, statementCount } = this.#analyser.read(Buffer.from(statement))
    if (analysis.outcome !== 'accesses')
      return { kind: 'refused', outcome: analysis.outcome, why: analysis.why }
    if (statementCount !== 1 || !COMPARED.has(analysis.action)) return { kind: 'not_compared' }
    await this.#client.query('BEGIN')
    try {
      for (const access of analysis.accesses) {
        const grant = await this.#grantOf(access)
        if (grant === 'not_grantable') return { kind: 'not_compared' }
        if (grant !== undefined && !(await this.#grants(grant))) return { kind: 'not_compared' }
      }
      await this.#client.query(
        `SET LOCAL statement_timeout = '2s'; SET LOCAL client_min_messages = error; SET LOCAL ROLE ${this.#role}`,
      )
      return await this.#run(forward?.toString() ?? statement, analysis.accesses)
    } finally {
      await this.#client.query('ROLLBACK')
    }
  }

  /** False where the GRANT itself fails: an overload that cannot be named. */
  async #grants(grant: string): Promise<boolean> {
    try {
      await this.#client.query(grant)
      return true
    } catch {
      return false
    }
  }

  async #run(statement: string, accesses: readonly Access[]): Promise<Comparison> {
    try {
      await this.#client.query(statement)
      return { kind: 'agrees' }
    } catch (error) {
      const { code = '', message, where } = error as ServerError
      if (code !== INSUFFICIENT_PRIVILEGE) return { kind: 'server_error', code, message }
      // With a context it happened inside a function or trigger.
      const name = /permission denied for (?:\w+ )+"?([^"]+?)"?$/.exec(message)?.[1] ?? message
      if (where !== undefined || !isNamed(statement, name)) return { kind: 'hidden', message }
      return { kind: 'miss', message, accesses }
    }
  }

  /** The GRANT for an access; `undefined` where PUBLIC has it; `not_grantable` where only an owner can do it. */
  async #grantOf(access: Access): Promise<string | 'not_grantable' | undefined> {
    const to = `TO ${this.#role}`
    switch (access.kind) {
      case 'metadata':
      case 'channel':
        return undefined
      case 'relation': {
        const { action, columns } = access
        if (action === 'create' || action === 'alter' || action === 'drop' || action === 'index')
          return 'not_grantable'
        const list = columns?.length === 0 ? await this.#anyColumn(access) : columns
        const listed = list === undefined ? '' : ` (${list.map(quote).join(', ')})`
        return `GRANT ${action}${listed} ON ${quote(access.schema)}.${quote(access.name)} ${to}`
      }
      case 'sequence':
        if (access.action === 'create' || access.action === 'alter' || access.action === 'drop')
          return 'not_grantable'
        return `GRANT ${access.action} ON SEQUENCE ${quote(access.schema)}.${quote(access.name)} ${to}`
      case 'type':
        if (access.action !== 'usage') return 'not_grantable'
        return `GRANT USAGE ON TYPE ${quote(access.schema)}.${quote(access.name)} ${to}`
      case 'routine': {
        const { rows } = await this.#client.query<{ name: string }>(
          'SELECT p.oid::regprocedure::text AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1 AND p.proname = $2',
          [access.schema, access.name],
        )
        return rows.length === 0
          ? undefined
          : `GRANT EXECUTE ON ROUTINE ${rows.map((row) => row.name).join(', ')} ${to}`
      }
      case 'schema':
      case 'command':
        return 'not_grantable'
    }
  }

  /** Touching no column needs a privilege on any one; a table without columns needs it as a whole. */
  async #anyColumn(table: {
    readonly schema: string
    readonly name: string
  }): Promise<readonly string[] | undefined> {
    const { rows } = await this.#client.query<{ attname: string }>(
      'SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum DESC LIMIT 1',
      [table.schema, table.name],
    )
    return rows[0] === undefined ? undefined : [rows[0].attname]
  }
}

/** True where a name occurs in a statement outside its string constants. */
export function isNamed(statement: string, name: string): boolean {
  const bare = statement
    .replace(/\$(\w*)\$[\s\S]*?\$\1\$/g, ' ')
    .replace(/'(?:[^']|'')*'/g, ' ')
    .toLowerCase()
  const word = name.toLowerCase().replace(/[^\w]/g, '\\$&')
  return new RegExp(`(?<![\\w$])${word}(?![\\w$])`).test(bare)
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
