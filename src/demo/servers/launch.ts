/**
 * What the start of every private server has in common: an account, a data folder and a password of its own, a free
 * port, and nothing left behind when it fails. What differs is a recipe.
 */
import { randomBytes } from 'node:crypto'
import { type Account, type DataFolder, makeDataFolder, serverAccount } from './account.ts'
import { freePort, type ServerCommand, startProcess } from './process.ts'
import { type Programs, SERVER_ENVIRONMENT } from './programs.ts'
import type { DatabaseServer, ServerKind, StartOptions } from './server.ts'

/** What a server has before it runs. */
export type Prepared = {
  readonly account: Account | undefined
  readonly programs: Programs
  readonly data: DataFolder
  readonly password: string
}

/** How to log in to a server that runs. */
export type Login = {
  readonly host: '127.0.0.1'
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
}

export type Recipe = {
  /** As people write it. */
  readonly name: string
  /** The account that the server's package makes, where there is one. */
  readonly account: string
  readonly user: string
  readonly database: string
  readonly signal: ServerCommand['signal']
  find(account: Account | undefined, progress: (line: string) => void): Promise<Programs>
  /** Makes what must be there before the server starts. */
  initialise?(prepared: Prepared): Promise<void>
  /** The server's arguments, those of the options last. */
  args(prepared: Prepared, port: number, settings: readonly string[]): readonly string[]
  /** Logs in and asks the server what it is. Rejects while it does not answer. */
  ask(login: Login): Promise<{ readonly kind: ServerKind; readonly version: string }>
  /** Removes what was needed for the start only. */
  tidy?(prepared: Prepared): void
}

/** @throws ServerUnavailable where there are no programs, and Error with the server's last words where it does not start */
export async function launch(recipe: Recipe, options: StartOptions): Promise<DatabaseServer> {
  const progress = options.progress ?? (() => {})
  const account = serverAccount(recipe.account)
  const programs = await recipe.find(account, progress)
  const data = makeDataFolder(options.folder, account)
  const prepared = { account, programs, data, password: randomBytes(18).toString('base64url') }
  try {
    progress(`starting ${recipe.name}`)
    await recipe.initialise?.(prepared)
    const port = await freePort()
    const command = {
      file: programs.server,
      args: recipe.args(prepared, port, options.settings ?? []),
      environment: SERVER_ENVIRONMENT,
      signal: recipe.signal,
    }
    const { user, database } = recipe
    const login = { host: '127.0.0.1', port, user, password: prepared.password, database } as const
    let said: Awaited<ReturnType<Recipe['ask']>> | undefined
    const running = await startProcess(command, account, data, async () => {
      said = await recipe.ask(login)
    })
    if (said === undefined) throw new Error(`${recipe.name} was not asked what it is`)
    recipe.tidy?.(prepared)
    return { ...said, ...login, programs: programs.clients, ...running }
  } catch (error) {
    data.remove()
    throw error
  }
}
