import { type VerifyOptions, type VerifyReport, verifyFiles } from '../../audit/verify.ts'
import { colors } from '../colors.ts'
import { counted } from '../counted.ts'
import { CommandError, EXIT } from '../exit.ts'
import { filesOf, type LogOptions, sizeOf, verifierOf } from './log-files.ts'
import { bytesWords, Progress } from './progress.ts'

export type VerifyCommandOptions = LogOptions & {
  readonly key?: readonly string[]
  readonly expectHead?: string
  readonly json?: boolean
}

/** Findings that are printed; `--json` gives up to a thousand. */
const SHOWN_MAX = 20

/** Follows the chain and checks the signatures; exit 0 for a log that is whole, 1 for one that is not. @throws CommandError */
export async function auditVerify(named: readonly string[], options: VerifyCommandOptions): Promise<void> {
  let files = filesOf(named, options)
  // Files that were named, perhaps far from any configuration, are checked with keys that are named.
  const verifier = verifierOf(options.key ?? [], named.length > 0 ? undefined : options)
  const expectedHead = headOf(options.expectHead)
  let report = await verified(files, { verifier, expectedHead })
  // A file that was rotated while it was its turn is not where it was looked for.
  for (let now = filesOf(named, options); report.findingCount > 0 && now.length > files.length; ) {
    files = now
    report = await verified(files, { verifier, expectedHead })
    now = filesOf(named, options)
  }
  process.exitCode = report.findingCount === 0 ? EXIT.ok : EXIT.denied
  process.stdout.write(
    options.json
      ? `${JSON.stringify(asJson(report, verifier !== undefined))}\n`
      : `${words(report, verifier !== undefined).join('\n')}\n`,
  )
}

async function verified(files: readonly string[], options: VerifyOptions): Promise<VerifyReport> {
  const progress = new Progress(files.reduce((total, file) => total + sizeOf(file), 0))
  try {
    return await verifyFiles(files, { ...options, onProgress: progress.show })
  } finally {
    progress.end()
  }
}

/** `1234:ab…` or `ab…`. */
function headOf(
  text: string | undefined,
): { readonly seq: number | undefined; readonly hash: string } | undefined {
  if (text === undefined) return undefined
  const [, seq, hash] = /^(?:(\d{1,16}):)?([0-9a-f]{64})$/.exec(text) ?? []
  if (hash === undefined) {
    throw new CommandError('--expect-head is `SEQ:HASH` or `HASH`, as `audit verify` prints the head')
  }
  return { seq: seq === undefined ? undefined : Number(seq), hash }
}

function asJson(report: VerifyReport, checksSignatures: boolean): unknown {
  const { files, records, bytes, first, head, checkpoints, findings } = report
  return {
    whole: report.findingCount === 0,
    signatures_checked: checksSignatures,
    ...{ files, records, bytes, first, head, checkpoints },
    signed_seq: report.signedSeq,
    unfinished_bytes: report.unfinishedBytes,
    findings,
    finding_count: report.findingCount,
  }
}

function words(report: VerifyReport, checksSignatures: boolean): string[] {
  const { files, records, bytes, first, head, findings, findingCount } = report
  const lines = findings
    .slice(0, SHOWN_MAX)
    .map(
      ({ file, line, seq, problem }) =>
        `${colors.red('✗')} ${file}:${line}${seq === undefined ? '' : ` (record ${seq})`}: ${problem}`,
    )
  if (findingCount > lines.length) lines.push(`  and ${findingCount - lines.length} more: see --json`)
  const span = first === undefined || head === undefined ? '' : `, ${first.time} to ${head.time}`
  lines.push(
    `${findingCount === 0 ? colors.green('whole') : colors.red('NOT whole')}: ${counted(records, 'record')} in ${counted(files.length, 'file')}, ${bytesWords(bytes)}${span}`,
  )
  if (head !== undefined) lines.push(`head: ${head.seq}:${head.hash}`)
  lines.push(...signatures(report, checksSignatures))
  if (report.unfinishedBytes > 0) {
    lines.push(
      `at the end stand ${counted(report.unfinishedBytes, 'byte')} of a record that is being written, or was torn`,
    )
  }
  return lines
}

function signatures({ checkpoints, signedSeq, head }: VerifyReport, checked: boolean): string[] {
  if (!checked) {
    return [
      checkpoints === 0
        ? colors.yellow('no checkpoints: the chain shows changes, but not whether all of it was made anew')
        : colors.yellow(`not checked: ${counted(checkpoints, 'checkpoint')}; name the public key with --key`),
    ]
  }
  if (signedSeq === undefined || head === undefined) return []
  const behind = head.seq - signedSeq - 1
  return [
    `signed up to record ${signedSeq}`,
    ...(behind > 0
      ? [
          colors.yellow(
            `behind the last checkpoint: ${counted(behind, 'record')}; that none was cut off there, only --expect-head can tell`,
          ),
        ]
      : []),
  ]
}
