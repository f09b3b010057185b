package shop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// bundleType is the type of every bundle, whatever the file calls it.
const bundleType = "bundle"

// LoadCatalogue reads a catalogue; name is how errors call the file. It takes the forms of the HTTP contract: texts and lists
// as strings or by language, prices as numbers or numeric strings, keys that it does not know, lists that are missing. Its error
// tells all the problems (up to 20), each with file:line:col: no id, an id that is there twice, no name, a value of the wrong
// kind.
func LoadCatalogue(name string, data []byte) (*Catalogue, error) {
	d, err := openDocument(name, data)
	if err != nil {
		return nil, err
	}
	c := &Catalogue{Currency: "EUR", byID: map[string]*Product{}}
	d.loadMetadata(c)
	for i, e := range d.list("collections") {
		d.loadCollection(c, i, e)
	}
	for i, e := range d.list("products") {
		p := &Product{Currency: c.Currency, InStock: true}
		if d.loadProduct(c, p, fmt.Sprintf("products[%d]", i), e) {
			c.Products = append(c.Products, p)
		}
	}
	for i, e := range d.list("bundles") {
		d.loadBundle(c, i, e)
	}
	for i, e := range d.list("promotions") {
		d.loadPromotion(c, i, e)
	}
	if len(c.Products) == 0 && len(d.problems) == 0 {
		d.problem(0, "products", errors.New("the catalogue has no product"))
	}
	if len(d.problems) > 0 {
		return nil, errors.Join(d.problems...)
	}
	c.build()
	return c, nil
}

func (d *document) loadMetadata(c *Catalogue) {
	dec := json.NewDecoder(bytes.NewReader(d.data))
	if !d.seek(dec, "metadata") {
		return
	}
	e := element{at: d.skip(int(dec.InputOffset()))}
	if dec.Decode(&e.raw) != nil || string(e.raw) == "null" {
		return
	}
	var currency, version scalar
	if err := e.read(field{"currency", &currency}, field{"version", &version}); err != nil {
		d.problem(e.at, "metadata", err)
	}
	if currency != "" {
		c.Currency = string(currency)
	}
	c.Version = string(version)
}

func (d *document) loadCollection(c *Catalogue, i int, e element) {
	collection := Collection{}
	id := scalar(e.key)
	path := fmt.Sprintf("collections[%d]", i)
	err := e.read(field{"id", &id}, field{"name", &collection.Name}, field{"description", &collection.Description},
		field{"concerns", &collection.Concerns}, field{"ingredients", &collection.Ingredients})
	switch collection.ID = string(id); {
	case err != nil:
		d.problem(e.at, path, err)
	case id == "":
		d.problem(e.at, path, errors.New("id is required"))
	case collection.Name.IsZero():
		d.problem(e.at, path+" ("+string(id)+")", errors.New("name is required"))
	default:
		c.Collections = append(c.Collections, collection)
	}
}

// loadProduct fills a product or the product that a bundle is, and reports whether it is sound.
func (d *document) loadProduct(c *Catalogue, p *Product, path string, e element, more ...field) bool {
	id := scalar(e.key)
	var collection, currency, image, url scalar
	var price number
	var kind Text
	var hair, skin, free Texts
	err := e.read(append([]field{
		{"id", &id},
		{"collection", &collection},
		{"name", &p.Name},
		{"type", &kind},
		{"price", &price},
		{"currency", &currency},
		{"size", &p.Size},
		{"image", &image},
		{"url", &url},
		{"concerns", &p.Concerns},
		{"description", &p.Description},
		{"ingredients", &p.Ingredients},
		{"benefits", &p.Benefits},
		{"usage", &p.Usage},
		{"inStock", &p.InStock},
		{"vegan", &p.Vegan},
		{"hairTypes", &hair},
		{"skinTypes", &skin},
		{"free", &free},
	}, more...)...)
	p.ID = strings.TrimSpace(string(id))
	if p.ID != "" {
		path += " (" + p.ID + ")"
	}
	switch {
	case err != nil:
		d.problem(e.at, path, err)
	case p.ID == "":
		d.problem(e.at, path, errors.New("id is required"))
	case c.byID[p.ID] != nil:
		d.problem(e.at, path, errors.New("there is another product or bundle with this id"))
	case p.Name.IsZero():
		d.problem(e.at, path, errors.New("name is required, in at least one of fr, en and ar"))
	default:
		p.Collection, p.Image, p.URL, p.Price = string(collection), string(image), string(url), float64(price)
		if currency != "" {
			p.Currency = string(currency)
		}
		p.HairTypes, p.SkinTypes, p.Free = HairTypes.all(hair), SkinTypes.all(skin), FreeOf.all(free)
		p.setType(kind)
		p.concernIDs = Concerns.all(p.Concerns)
		c.byID[p.ID] = p
		return true
	}
	return false
}

// setType takes the type of the file: an id, or words that name one, or else the words.
func (p *Product) setType(t Text) {
	if p.Type != "" || t.IsZero() {
		return
	}
	p.Type = t.String()
	if ids := Types.Understand(p.Type); len(ids) > 0 {
		p.Type = ids[0]
	} else {
		p.typeText = t
	}
}

func (d *document) loadBundle(c *Catalogue, i int, e element) {
	b := &Bundle{Product: Product{Currency: c.Currency, InStock: true}}
	path := fmt.Sprintf("bundles[%d]", i)
	var contents []scalar
	b.Type = bundleType
	if !d.loadProduct(c, &b.Product, path, e, field{"products", &contents}) {
		return
	}
	for _, id := range contents {
		if p := c.byID[string(id)]; p == nil {
			d.problem(e.at, path+" ("+b.ID+")", fmt.Errorf("products: there is no product %q", string(id)))
		} else {
			b.Products = append(b.Products, p)
			b.InStock = b.InStock && p.InStock
		}
	}
	c.Bundles = append(c.Bundles, b)
}

func (d *document) loadPromotion(c *Catalogue, i int, e element) {
	p := Promotion{}
	id := scalar(e.key)
	var code scalar
	var percent, amount, minimum number
	var until day
	var applies json.RawMessage
	err := e.read(field{"id", &id}, field{"name", &p.Name}, field{"description", &p.Description}, field{"code", &code},
		field{"percent", &percent}, field{"amount", &amount}, field{"minimum", &minimum}, field{"until", &until},
		field{"appliesTo", &applies})
	if err == nil && applies != nil {
		scope := element{raw: applies}
		err = scope.read(field{"products", &p.Products}, field{"collections", &p.Collections}, field{"types", &p.Types})
	}
	p.ID, p.Code, p.Until = string(id), string(code), time.Time(until)
	p.Percent, p.Amount, p.Minimum = float64(percent), float64(amount), float64(minimum)
	path := fmt.Sprintf("promotions[%d]", i)
	switch {
	case err != nil:
		d.problem(e.at, path, err)
	case p.ID == "":
		d.problem(e.at, path, errors.New("id is required"))
	default:
		c.Promotions = append(c.Promotions, p)
	}
}

// LoadFAQ reads a FAQ file, as LoadCatalogue does a catalogue. An entry without an id is called by its place, "faq-1" the first.
func LoadFAQ(name string, data []byte) (*FAQ, error) {
	d, err := openDocument(name, data)
	if err != nil {
		return nil, err
	}
	f := &FAQ{}
	ids := map[string]bool{}
	for i, e := range d.list("faqs") {
		var id, topic scalar
		entry := Entry{}
		err := e.read(field{"id", &id}, field{"topic", &topic}, field{"question", &entry.Question},
			field{"answer", &entry.Answer}, field{"keywords", &entry.Keywords})
		if id == "" {
			id = scalar(fmt.Sprintf("faq-%d", i+1))
		}
		entry.ID, entry.Topic = string(id), string(topic)
		path := fmt.Sprintf("faqs[%d] (%s)", i, entry.ID)
		switch {
		case err != nil:
			d.problem(e.at, path, err)
		case ids[entry.ID]:
			d.problem(e.at, path, errors.New("there is another entry with this id"))
		case entry.Question.IsZero():
			d.problem(e.at, path, errors.New("question is required, in at least one of fr, en and ar"))
		case entry.Answer.IsZero():
			d.problem(e.at, path, errors.New("answer is required, in at least one of fr, en and ar"))
		default:
			f.Entries = append(f.Entries, entry)
		}
		ids[entry.ID] = true
	}
	if len(f.Entries) == 0 && len(d.problems) == 0 {
		d.problem(0, "faqs", errors.New("the FAQ has no entry"))
	}
	if len(d.problems) > 0 {
		return nil, errors.Join(d.problems...)
	}
	f.build()
	return f, nil
}
