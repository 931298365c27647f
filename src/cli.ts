#!/usr/bin/env node
/** The command line; the only file that ends the process. */
import './heap.ts'
import { Command, CommanderError } from 'commander'
import type { QueryOptions } from './commands/audit/query.ts'
import type { RecheckOptions } from './commands/audit/recheck.ts'
import type { TailOptions } from './commands/audit/tail.ts'
import type { VerifyCommandOptions } from './commands/audit/verify.ts'
import type { CheckOptions } from './commands/check.ts'
import { counted } from './commands/counted.ts'
import { CommandError, EXIT } from './commands/exit.ts'
import type { SuggestOptions } from './commands/grant/suggest.ts'
import type { UnusedOptions } from './commands/grant/unused.ts'
import type { IssueOptions } from './commands/issue.ts'
import type { NarrowOptions } from './commands/narrow.ts'
import type { ReleaseOptions, RevokeOptions } from './commands/revoke.ts'
import type { RunsOptions } from './commands/runs/list.ts'
import type { ShowOptions } from './commands/runs/show.ts'
import { ConfigError } from './config/config.ts'
import { KeyError } from './grants/keys.ts'
import { version } from './version.ts'

const CONFIG_DEFAULT = './bulkhead.yaml'

const TOKEN_FORMS = 'the token, or the connection URL that holds it; `-` reads standard input'

function program(): Command {
  // What is said here of help and of failing holds for every command below.
  const root = new Command('bulkhead')
    .description(
      'One grant, one system, one agent run: a proxy for PostgreSQL, MySQL/MariaDB and Redis/Valkey.',
    )
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .showHelpAfterError('(see --help)')
    .exitOverride()

  // Each command loads what it needs when it is called, so that `serve` does not carry the others.
  configured(root, 'serve', 'run the proxy until SIGTERM or SIGINT')
    .option('--validate', 'check the configuration, print it resolved, and end')
    .action(async (options: { config: string; validate?: true }) => {
      if (options.validate) {
        const { checkConfig } = await import('./commands/check-config.ts')
        checkConfig({ config: options.config })
      } else {
        const { serve } = await import('./commands/serve.ts')
        await serve(options)
      }
    })

  configured(root, 'check-config', 'check the configuration and print it resolved, with secrets redacted')
    .option('--json', 'print JSON')
    .action(async (options: { config: string; json?: true }) => {
      const { checkConfig } = await import('./commands/check-config.ts')
      checkConfig(options)
    })

  root
    .command('init')
    .description('make an issuer key pair, a TLS certificate, an admin token and a starter configuration')
    .option('--folder <folder>', 'where to write them', '.')
    .action(async (options: { folder: string }) => {
      const { init } = await import('./commands/init.ts')
      await init(options)
    })

  tokenCommands(root)
  controlCommands(root)
  auditCommands(root.command('audit').description('ask the audit log, follow it, and check that it is whole'))
  grantCommands(root.command('grant').description('ask the audit log what grants should say'))

  root
    .command('demo')
    .description('start three real databases and show scripted agents meet their grants')
    .option('--once', 'end after the script; the exit code tells whether it went as expected')
    .action(async ({ once }: { once?: true }) => {
      const { runDemo } = await import('./demo/demo.ts')
      process.exitCode = await runDemo({ once: once === true })
    })

  return root
}

/** A command that reads the configuration. */
function configured(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .option('-c, --config <file>', 'the configuration', CONFIG_DEFAULT)
}

/** Collects an option that may be given more than once. */
function several(value: string, values: readonly string[] | undefined): readonly string[] {
  return [...(values ?? []), value]
}

/** For commands that read a part of the audit log. */
function withPeriod(command: Command): Command {
  return command
    .option('--since <when>', 'at or after a date (`2026-11-23T16:35:00Z`) or a time ago (`15m`)')
    .option('--until <when>', 'before a date or a time ago')
}

function tokenCommands(root: Command): void {
  configured(root, 'issue', 'sign a token for one run, and print how to connect with it')
    .requiredOption('--grant <name>', 'the grant, which names the system')
    .requiredOption('--run <id>', 'the run: 1 to 64 letters, digits, `_`, `.`, `:` or `-`')
    .option('--agent <name>', 'the agent that the run belongs to', 'agent')
    .option('--ttl <duration>', 'how long the token is good', '15m')
    .option('--format <format>', 'one of url, token, env, json', 'url')
    .option('--key <file>', 'the private key', './keys/issuer.jwk')
    .option(
      '--secret',
      'a short password instead of a token, made by the running proxy (exit 3: none answers)',
    )
    .option('--no-narrow', 'a shorter token, which its holder cannot narrow')
    .option('--json', 'the same as --format json')
    .action(async (options: IssueOptions) => {
      const { issue } = await import('./commands/issue.ts')
      await issue(options)
    })

  configured(
    root,
    'narrow',
    'make from a token one that allows less, for a sub-agent; needs no network and no issuer',
  )
    .requiredOption('--token <token>', TOKEN_FORMS)
    .requiredOption('--allow <line>', 'an allow line; may be given more than once', several)
    .option('--metadata <level>', 'how much of the catalog it shows: none, driver or introspect')
    .option('--run <id>', "the child's run: its parent's, a dot and a name (default: a random name)")
    .option('--ttl <duration>', 'how long it is good, never longer than its parent')
    .option('--format <format>', 'one of url, token, env, json (default: as the token was given)')
    .option('--json', 'the same as --format json')
    .action(async (options: NarrowOptions) => {
      const { narrow } = await import('./commands/narrow.ts')
      await narrow(options)
    })

  configured(root, 'check', 'try a statement against a grant, without a server: exit 0 allow, 1 deny')
    .argument('<statement>', 'an SQL statement, or a Redis command as typed in redis-cli')
    .option('--grant <name>', 'the grant')
    .option('--token <token>', `instead of it, the grant that a token has now: ${TOKEN_FORMS}`)
    .option('--json', 'print JSON')
    .action(async (statement: string, options: CheckOptions) => {
      const { check } = await import('./commands/check.ts')
      await check(statement, options)
    })
}

/** What is asked of a proxy that runs. */
function controlCommands(root: Command): void {
  const ofTarget = (name: string, description: string): Command =>
    configured(root, name, description)
      .option('--run <id>', 'a run, with every run that was narrowed from it')
      .option('--token <token>', `one token by its \`jti\`, or ${TOKEN_FORMS}`)
      .option('--grant <name>', 'every token that names the grant')
      .option('--issuer <name>', 'only runs or tokens of this issuer (default: of any)')
      .option('--json', 'print JSON')

  ofTarget(
    'revoke',
    'end the sessions of a run, a token or a grant now, and refuse its tokens; exit 3: no proxy answers',
  )
    .requiredOption('--why <reason>', 'for the record')
    .option('--for <duration>', 'how long (default: until it is released, or its token has expired)')
    .action(async (options: RevokeOptions) => {
      const { revoke } = await import('./commands/revoke.ts')
      await revoke(options)
    })

  ofTarget('release', 'take revocations and quarantines back; exit 1: there were none, 3: no proxy answers')
    .option('--why <reason>', 'for the record')
    .action(async (options: ReleaseOptions) => {
      const { release } = await import('./commands/revoke.ts')
      await release(options)
    })

  const runs = configured(
    root,
    'runs',
    'list the runs that the proxy has seen, live and recent; exit 3: no proxy answers',
  )
    .option('--live', 'only those with an open session')
    .option('--json', 'print JSON')
    .action(async (options: RunsOptions) => {
      const { listRuns } = await import('./commands/runs/list.ts')
      await listRuns(options)
    })
  configured(
    runs,
    'show',
    'print what a run did, over all systems, from the audit log; exit 1: it knows no such run',
  )
    .argument('<run>', 'the run')
    .option('--last <number>', 'how much of the end to show', '500')
    .option('--no-narrowed', 'without the runs that were narrowed from it')
    .option('--json', 'print the records, a line each')
    // An option that `runs` has, too, is the parent's wherever it stands.
    .action(async (run: string, _options: unknown, sub: Command) => {
      const { showRun } = await import('./commands/runs/show.ts')
      await showRun(run, sub.optsWithGlobals<ShowOptions>())
    })

  configured(
    root,
    'reload',
    'have the running proxy read its configuration anew; exit 2: it was refused, 3: no proxy answers',
  )
    .option('--json', 'print JSON')
    .action(async (options: { config: string; json?: true }) => {
      const { reload } = await import('./commands/reload.ts')
      await reload(options)
    })
}

function auditCommands(audit: Command): void {
  const withFilter = (name: string, description: string): Command =>
    withPeriod(
      configured(audit, name, description)
        .option('--run <id>', 'of this run')
        .option('--agent <name>', 'of this agent')
        .option('--system <name>', 'on this system')
        .option('--session <id>', 'of this session')
        .option('--event <event>', 'such as statement, result, hop, auth.failure, session.start')
        .option('--kind <kind>', 'hops of this kind')
        .option('--verdict <verdict>', 'allow, deny or would_deny')
        .option('--reason <reason>', 'denials for this reason')
        .option('--table <name>', 'that touch this table (`orders`, `public.orders`) or key'),
    ).option('--json', 'print the records as they stand in the log')

  configured(
    audit,
    'verify',
    'find any record that was changed, removed, added or moved: exit 0 whole, 1 not',
  )
    .argument('[files...]', 'files of the log, in any order (default: all files of the configured log)')
    .option('--key <file>', 'a public key of checkpoints; may be given more than once', several)
    .option('--expect-head <seq:hash>', 'a head that was kept elsewhere, and must be there')
    .option('--json', 'print JSON')
    .action(async (files: readonly string[], options: VerifyCommandOptions) => {
      const { auditVerify } = await import('./commands/audit/verify.ts')
      await auditVerify(files, options)
    })
  configured(audit, 'recheck', 'decide every recorded statement again: exit 0 all the same, 1 a difference')
    .argument('[files...]', 'files of the log, in order (default: all files of the configured log)')
    .option('--json', 'print JSON')
    .action(async (files: readonly string[], options: RecheckOptions) => {
      const { auditRecheck } = await import('./commands/audit/recheck.ts')
      await auditRecheck(files, options)
    })
  withFilter('query', 'print the records that match, the oldest first')
    .argument('[files...]', 'files of the log, in order (default: all files of the configured log)')
    .option('--limit <count>', 'only the newest so many')
    .action(async (files: readonly string[], options: QueryOptions) => {
      const { auditQuery } = await import('./commands/audit/query.ts')
      await auditQuery(files, options)
    })
  withFilter('tail', 'print the newest records that match')
    .option('-f, --follow', 'and those that come, until it is ended')
    .option('-n, --lines <count>', 'how many', '20')
    .action(async (options: TailOptions) => {
      const { auditTail } = await import('./commands/audit/tail.ts')
      await auditTail(options)
    })
}

function grantCommands(grant: Command): void {
  const fromLog = (name: string, description: string): Command =>
    withPeriod(configured(grant, name, description)).option('--json', 'print JSON')

  fromLog('suggest', 'print the narrowest grant that covers what was done, from the audit log')
    .option('--run <id>', 'by this run, and those narrowed from it')
    .option('--grant <name>', 'under this grant')
    .option('--denied', 'also what was refused for want of an allow line')
    .option('--generalise', 'Redis: make patterns of keys that differ behind their last colon')
    .action(async (options: SuggestOptions) => {
      const { suggest } = await import('./commands/grant/suggest.ts')
      await suggest(options)
    })
  fromLog('unused', 'print the rights of grants that no run has used, from the audit log')
    .option('--grant <name>', 'of this grant (default: of each)')
    .action(async (options: UnusedOptions) => {
      const { unused } = await import('./commands/grant/unused.ts')
      await unused(options)
    })
}

/** Tells what went wrong, and gives the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has told the user already; of help and of the version there is nothing wrong to tell.
    if (error.exitCode === 0) return EXIT.ok
    tellPrograms(error.message)
    return EXIT.usage
  }
  if (error instanceof ConfigError) {
    process.stderr.write(
      `${error.message}\n${counted(error.problems.length, 'problem')} in the configuration\n`,
    )
    tellPrograms(error.message)
    return EXIT.usage
  }
  if (error instanceof CommandError || error instanceof KeyError) {
    return failed(error.message, error instanceof CommandError ? error.exit : EXIT.usage)
  }
  // A file or a device that cannot be used, and that no command had more to say of.
  if (error instanceof Error && 'syscall' in error) return failed(error.message, EXIT.usage)
  const said = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return failed(`this is a bug of ours: ${said}`, EXIT.bug)
}

function failed(message: string, exit: number): number {
  process.stderr.write(`bulkhead: ${message}\n`)
  tellPrograms(message)
  return exit
}

/** Who asked for JSON reads an object in any case. */
function tellPrograms(error: string): void {
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ error })}\n`)
}

/** Nobody reads any more (`| head`), which is no mistake: a command ends as it would have, `serve` goes on. */
process.stderr.on('error', () => undefined)
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return
  process.stderr.write(`bulkhead: cannot write what was asked for: ${error.code ?? error.message}\n`)
  process.exitCode = EXIT.usage
})

try {
  await program().parseAsync()
} catch (error) {
  process.exitCode = report(error)
}
