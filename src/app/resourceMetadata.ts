import type { Application } from 'express';
import { metadataPaths, resourceMetadata, resourceUrl } from '../tenancy/resourceMetadata.js';
import { addRoute } from '../server/routing.js';

/** The documents that lead an OAuth client to the issuer (RFC 9728, 3): for the server, and for each of its endpoints. */
export function addResourceMetadataRoutes(app: Application, issuer: string, publicUrl: string | undefined): void {
  for (const { path, metadataPath } of metadataPaths) {
    addRoute(app, metadataPath, {
      get: [
        ({ headers }, response) => void response.json(resourceMetadata(resourceUrl(path, publicUrl, headers), issuer)),
      ],
    });
  }
}
