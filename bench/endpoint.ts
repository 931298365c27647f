/** Where a load goes, and as whom. */
export type Endpoint = {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  /** Accept whatever certificate is shown. */
  readonly tls: boolean
}

/** One kind of load: units of work a second, higher is better. */
export type Load = {
  readonly name: string
  readonly unit: string
  /** Rejects where the load cannot be run at all. */
  run(endpoint: Endpoint, seconds: number): Promise<number>
}
