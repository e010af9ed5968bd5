"""Products: https://docs.stripe.com/api/products."""

from __future__ import annotations

from stripe_simulator.errors import ApiError
from stripe_simulator.parameters import Params, boolean, merged_metadata, page_limit, required, sequence, text
from stripe_simulator.resources import Resource, StripeObject, copied, page, synchronized


@synchronized
class Products(Resource):
    """The account's products."""

    resource_name = "product"

    def create(self, params: Params) -> StripeObject:
        """Create a product, under an `id` of the caller's choice where given."""
        product_id = text(params, "id") or self.account.new_id("prod")
        if product_id in self.objects:
            raise ApiError(400, f"Product already exists: {product_id}", code="resource_already_exists", param="id")
        now = int(self.account.now())
        product: StripeObject = {
            "id": product_id,
            "object": "product",
            "active": boolean(params, "active") is not False,
            "created": now,
            "default_price": None,
            "description": text(params, "description"),
            "images": [],
            "livemode": False,
            "marketing_features": [],
            "metadata": merged_metadata({}, params),
            "name": str(required(params, "name")),
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": None,
            "tax_code": None,
            "tax_details": None,
            "type": "service",
            "unit_label": text(params, "unit_label"),
            "updated": now,
            "url": None,
        }
        self.objects[product_id] = product
        self.account.events.emit("product.created", product)
        return copied(product)

    def retrieve(self, product_id: str) -> StripeObject:
        """Return a product, or raise a 404."""
        return copied(self._find(product_id))

    def update(self, product_id: str, params: Params) -> StripeObject:
        """Change a product's name, description, unit label, default price, metadata or whether it is active."""
        product = self._find(product_id)
        before = copied(product)
        for name in ("name", "description", "unit_label", "default_price"):
            if name in params:
                product[name] = text(params, name)
        active = boolean(params, "active")
        product["active"] = product["active"] if active is None else active
        product["metadata"] = merged_metadata(product["metadata"], params)
        product["updated"] = int(self.account.now())
        self.account.events.emit("product.updated", product, before)
        return copied(product)

    def delete(self, product_id: str) -> StripeObject:
        """Delete a product without prices; Stripe refuses one that has any.

        Raises:
            ApiError: 400 where a price belongs to it.
        """
        product = self._find(product_id)
        if any(price["product"] == product_id for price in self.account.prices.objects.values()):
            raise ApiError(400, "This product cannot be deleted because it has one or more user-created prices.")
        del self.objects[product_id]
        self.account.events.emit("product.deleted", product)
        return {"id": product_id, "object": "product", "deleted": True}

    def list(self, params: Params) -> StripeObject:
        """List products, newest first, by `active` and `ids` where given."""
        active, ids = boolean(params, "active"), sequence(params, "ids")
        page_limit(params)
        matching = [
            product
            for product in reversed(self.objects.values())
            if active in (None, product["active"]) and (not ids or product["id"] in ids)
        ]
        return copied(page(matching, params, "/v1/products"))
