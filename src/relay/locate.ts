import type { Backend, BackendTarget } from '../backends/backend.ts'
import { UpstreamError } from './upstream.ts'

/** The target with the address that it has now. @throws UpstreamError where nobody knows it */
export async function locate(
  target: BackendTarget,
  backend: Pick<Backend<never>, 'locate'>,
): Promise<BackendTarget> {
  if (backend.locate === undefined) return target
  try {
    const { host, port } = await backend.locate()
    return { ...target, host, port }
  } catch (error) {
    throw new UpstreamError('unreachable', error instanceof Error ? error.message : String(error))
  }
}
