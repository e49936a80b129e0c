import { parseCertificate, parseClusterId, parseNodeId, parseNodeSubject } from '@leastwise/identity'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readName } from '../../packages/identity/src/certificate/name.ts'
import { openDer } from '../../packages/identity/src/der/reader.ts'
import { encodeNodeSubject } from '../../packages/identity/src/membership/node-identity.ts'
import { codeOf, ENGINES } from './forge.ts'

const id = fc.string({
  unit: fc.constantFrom(...'0123456789abcdefghijklmnopqrstuvwxyz'.split('')),
  minLength: 25,
  maxLength: 25,
})

describe('ids', () => {
  it('are 25 characters of 0-9 and a-z; a cluster may be one of FIPS', () => {
    fc.assert(
      fc.property(id, (text) => {
        expect(parseNodeId(text)).toBe(text)
        expect(parseClusterId(text)).toBe(text)
        expect(parseClusterId(`FIPS.${text}`)).toBe(`FIPS.${text}`)
        expect(() => parseNodeId(`FIPS.${text}`)).toThrowCode('NODE_ID_MALFORMED')
      }),
    )
  })

  it('are nothing else', () => {
    const good = 'a'.repeat(25)
    for (const bad of [
      '',
      good.slice(1),
      `${good}a`,
      good.replace('a', 'A'),
      `${good}\n`,
      ` ${good}`,
      good.replace('a', '-'),
      `fips.${good}`,
    ]) {
      expect(() => parseNodeId(bad)).toThrowCode('NODE_ID_MALFORMED')
      expect(() => parseClusterId(bad)).toThrowCode('CLUSTER_ID_MALFORMED')
    }
    fc.assert(fc.property(fc.string(), (text) => ['ok', 'NODE_ID_MALFORMED'].includes(codeOf(() => parseNodeId(text)))))
  })
})

describe('the subject of a node', () => {
  it('is written as a Docker manager writes it', () => {
    for (const { clusterId, nodeId, role, leaf } of ENGINES) {
      const subject = { clusterId: parseClusterId(clusterId), nodeId: parseNodeId(nodeId), role }
      const certificate = parseCertificate(leaf)
      expect(encodeNodeSubject(subject)).toEqual(certificate.subject.der)
      expect(parseNodeSubject(certificate.subject)).toEqual(subject)
    }
  })

  it('reads back to what was written', () => {
    fc.assert(
      fc.property(
        id,
        id,
        fc.constantFrom('worker' as const, 'manager' as const),
        fc.boolean(),
        (cluster, node, role, fips) => {
          const subject = {
            clusterId: parseClusterId(fips ? `FIPS.${cluster}` : cluster),
            nodeId: parseNodeId(node),
            role,
          }
          const name = readName(
            openDer(encodeNodeSubject(subject), { code: 'CERTIFICATE_MALFORMED', document: 'name' }),
          )
          expect(parseNodeSubject(name)).toEqual(subject)
        },
      ),
    )
  })
})
