/** How commands talk to a running proxy: the admin API at the address and with the token of the configuration. */
import { request } from 'node:http'
import { userInfo } from 'node:os'
import { z } from 'zod'
import type { AdminConfig } from '../config/config.ts'
import { loadAdmin } from '../config/load-admin.ts'
import { responseText } from '../response-text.ts'
import { addressText, reachable } from './address.ts'
import { CommandError, EXIT } from './exit.ts'

/** A reload waits for the first try at new backends, which takes up to 15 s each. */
const ANSWER_MS = 60_000

/** Answers are lists of at most some thousand runs. */
const ANSWER_BYTES_MAX = 64 << 20

const problem = z.object({ error: z.string() })

export type Answer = { readonly status: number; readonly body: unknown }

export class AdminClient {
  readonly #admin: AdminConfig

  constructor(admin: AdminConfig) {
    this.#admin = admin
  }

  /** @throws CommandError where there is no proxy, it does not take the token, or it finds the request wrong */
  async get<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.output<Schema>> {
    return read(await this.#send('GET', path, undefined), schema)
  }

  /** @throws CommandError as {@link get} does; `also`: statuses besides 200 whose answer has the same form */
  async post<Schema extends z.ZodType>(
    path: string,
    body: unknown,
    schema: Schema,
    also: readonly number[] = [],
  ): Promise<z.output<Schema>> {
    return read(await this.#send('POST', path, body), schema, also)
  }

  async #send(method: string, path: string, body: unknown): Promise<Answer> {
    const { token } = this.#admin
    if (token === undefined) {
      throw new CommandError(
        'the configuration has no `admin.token`: write one as `bulkhead init` does, and restart the proxy',
      )
    }
    const text = body === undefined ? undefined : JSON.stringify(body)
    const { status, text: answer } = await exchange(this.#admin, method, path, {
      text,
      headers: {
        authorization: `Bearer ${token}`,
        ...(text !== undefined && { 'content-type': 'application/json' }),
      },
    })
    if (status === 401 || status === 403) {
      throw new CommandError(
        `the proxy at ${door(this.#admin)} does not take this configuration's \`admin.token\``,
        EXIT.unavailable,
      )
    }
    try {
      return { status, body: JSON.parse(answer) as unknown }
    } catch {
      throw new CommandError(`what answers at ${door(this.#admin)} is no Bulkhead`, EXIT.unavailable)
    }
  }
}

/** A client for the proxy that runs with a configuration. @throws ConfigError */
export function runningProxy(file: string): AdminClient {
  return new AdminClient(loadAdmin(file, process.env))
}

/** Who asks, for the record: what the operating system calls the user. */
export function whoAsks(): string {
  try {
    return userInfo().username
  } catch {
    return 'unknown'
  }
}

/** What is in force is not yet in the state file. */
export function warnUnsaved(saved: boolean): void {
  if (saved) return
  process.stderr.write(
    'warning: the state file could not be written: a restart would forget this (see /readyz)\n',
  )
}

function read<Schema extends z.ZodType>(
  { status, body }: Answer,
  schema: Schema,
  also: readonly number[] = [],
): z.output<Schema> {
  if (status === 200 || also.includes(status)) {
    const answer = schema.safeParse(body)
    if (answer.success) return answer.data
    throw new CommandError(
      'the proxy answers otherwise than this command expects: are both of one version?',
      EXIT.unavailable,
    )
  }
  const said = problem.safeParse(body)
  throw new CommandError(said.success ? said.data.error : `the proxy answered ${status}`)
}

type Sent = { readonly text: string | undefined; readonly headers: Readonly<Record<string, string>> }

function exchange(
  admin: AdminConfig,
  method: string,
  path: string,
  { text, headers }: Sent,
): Promise<{ readonly status: number; readonly text: string }> {
  const { socket, listen } = admin
  return new Promise((resolve, reject) => {
    const unreachable = (why: string): void =>
      reject(
        new CommandError(
          `no proxy answers at ${door(admin)}: ${why}; is \`bulkhead serve\` running with this configuration?`,
          EXIT.unavailable,
        ),
      )
    const sent = request(
      {
        ...(socket === undefined ? listen && reachable(listen) : { socketPath: socket }),
        method,
        path,
        headers: {
          host: 'localhost',
          ...headers,
          ...(text !== undefined && { 'content-length': Buffer.byteLength(text) }),
        },
        timeout: ANSWER_MS,
      },
      (response) => {
        responseText(response, ANSWER_BYTES_MAX).then(
          (answer) => resolve({ status: response.statusCode ?? 0, text: answer }),
          (error: Error) => unreachable(error.message),
        )
      },
    )
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${ANSWER_MS / 1_000} s`)))
    sent.on('error', (error: NodeJS.ErrnoException) => unreachable(error.code ?? error.message))
    sent.end(text)
  })
}

function door({ socket, listen }: AdminConfig): string {
  return socket ?? (listen === undefined ? 'no address' : addressText(listen))
}
