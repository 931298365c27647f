/**
 * Tries each statement in a session of its own. For a name that is not known the catalog is read again, at most once a
 * second: so they wait for one reading, and not each for its own.
 */
export async function eachAtOnce<Client extends { end(): Promise<void> }>(
  statements: readonly string[],
  connect: () => Promise<Client>,
  attempt: (client: Client, statement: string) => Promise<void>,
): Promise<void> {
  await Promise.all(
    statements.map(async (statement) => {
      const client = await connect()
      await attempt(client, statement).finally(() => client.end())
    }),
  )
}
