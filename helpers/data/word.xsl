<?xml version="1.0" encoding="UTF-8"?>
<!-- A part of a Word file as it is seen: without what was moved away or is hidden, and with formulas as text. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math">
  <xsl:template match="@* | node()"><xsl:copy><xsl:apply-templates select="@* | node()"/></xsl:copy></xsl:template>

  <xsl:template match="w:moveFrom | w:r[w:rPr/w:vanish[not(@w:val='0' or @w:val='false')]]"/>
  <xsl:template match="w:moveTo"><w:ins><xsl:apply-templates select="node()"/></w:ins></xsl:template>

  <xsl:template match="m:oMathPara"><xsl:apply-templates select="m:oMath"/></xsl:template>
  <xsl:template match="m:oMath">
    <w:r><w:t xml:space="preserve"><xsl:apply-templates select="node()" mode="formula"/></w:t></w:r>
  </xsl:template>
  <xsl:template match="text()" mode="formula"/>
  <xsl:template match="m:t" mode="formula"><xsl:value-of select="."/></xsl:template>
  <xsl:template match="m:den" mode="formula">/<xsl:apply-templates select="node()" mode="formula"/></xsl:template>
  <xsl:template match="m:sup" mode="formula">^<xsl:apply-templates select="node()" mode="formula"/></xsl:template>
  <xsl:template match="m:sub" mode="formula">_<xsl:apply-templates select="node()" mode="formula"/></xsl:template>
  <xsl:template match="m:rad" mode="formula">√(<xsl:apply-templates select="m:e" mode="formula"/>)</xsl:template>
  <xsl:template match="m:d" mode="formula">(<xsl:apply-templates select="node()" mode="formula"/>)</xsl:template>
</xsl:stylesheet>
