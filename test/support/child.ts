/** Our own modules in a child process, whether these tests run as TypeScript (under tsx) or compiled. */

/** The URL of a module given from the project's folder, without its extension: `src/cli`. */
export function moduleUrl(path: string): URL {
  return new URL(`../../${path}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)
}

/** The options of this node process that a child needs to load the same kind of module. */
export function loaderOptions(): readonly string[] {
  return process.execArgv.filter((option) => !option.startsWith('--test'))
}
