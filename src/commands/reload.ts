import { reloadAnswer } from '../admin/schemas.ts'
import { runningProxy } from './admin-client.ts'
import { EXIT } from './exit.ts'

/** Has the running proxy read its configuration anew; exit code 2 where it was refused. @throws ConfigError, CommandError */
export async function reload(options: { readonly config: string; readonly json?: true }): Promise<void> {
  const client = runningProxy(options.config)
  const answer = await client.post('/v1/reload', undefined, reloadAnswer, [422])
  const { reloaded, changes, problems } = answer
  if (options.json === true) process.stdout.write(`${JSON.stringify(answer)}\n`)
  else if (reloaded)
    process.stdout.write(`reloaded: ${changes.length === 0 ? 'no change' : changes.join(', ')}\n`)
  else process.stderr.write(`the configuration before it goes on:\n${problems.join('\n')}\n`)
  if (!reloaded) process.exitCode = EXIT.usage
}
