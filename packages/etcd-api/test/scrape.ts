/** What a member shows to Prometheus. */
import { http } from './http-client.ts'

/** Every sample by its name and its labels, which are in the order of the alphabet. */
export type Samples = ReadonlyMap<string, number>

export function samplesOf(body: string): Samples {
  const samples = new Map<string, number>()
  for (const [, name = '', labels = '', value] of body.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm))
    samples.set(labels === '' ? name : `${name}{${sorted(labels)}}`, Number(value))
  return samples
}

export async function samplesAt(address: string): Promise<Samples> {
  return samplesOf((await http(address, '/metrics')).body)
}

/** Of each name with its labels; undefined where there is none. */
export async function valuesAt(
  address: string,
  ...names: string[]
): Promise<(number | undefined)[]> {
  const samples = await samplesAt(address)
  return names.map((name) => samples.get(name))
}

function sorted(labels: string): string {
  return (labels.match(/\w+="(?:[^"\\]|\\.)*"/g) ?? []).sort().join(',')
}
